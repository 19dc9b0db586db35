"""A stand-in for WeChat Pay APIv3 and Alipay OpenAPI v2 that speaks the real protocols over HTTP.

It imports nothing of the product, so that it can prove the product wrong: it has its own keys,
its own books and its own reading of the protocols.
"""
