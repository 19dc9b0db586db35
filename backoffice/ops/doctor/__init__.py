"""``manage.py doctor``: the whole deployment looked at in one go.

Each part gathers facts and judges them apart from that, so that every judgement has a test in which
it complains and one in which it is content.
"""
