"""The only code that writes orders, attempts and callbacks received.

``orders`` creates, cancels and changes the state of orders; ``attempts`` starts payments;
``settlement`` applies what a gateway reports, whoever reports it; ``expiry`` ends what is due;
``callbacks`` records messages; ``refund_money`` keeps the payment side of refunds.
"""
