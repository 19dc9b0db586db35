"""The only code that writes refunds.

``requests`` asks for, withdraws and reviews; ``submission`` gives the money back, from the
balance at once and through a gateway in three phases; ``surplus`` gives back by itself what came
late or twice.
"""
