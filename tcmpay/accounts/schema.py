"""How the API description names our tokens."""

from typing import Any

from drf_spectacular.extensions import OpenApiAuthenticationExtension


class PlatformTokensScheme(OpenApiAuthenticationExtension):
    target_class = "tcmpay.accounts.authentication.PlatformTokens"
    name = "platformToken"

    def get_security_definition(self, auto_schema: Any) -> dict[str, str]:
        return {"type": "http", "scheme": "bearer", "bearerFormat": "JWT"}
