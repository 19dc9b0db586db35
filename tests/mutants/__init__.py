"""The guards of money, removed one at a time: the tests have to notice each.

``table`` is the list, as data; ``python -m tests.mutants`` (`make test-mutants`) runs it in scratch
copies of the tree; ``test_mutants_apply`` sees to it that the list fits the code.
"""
