"""How the API description names our tokens."""

from typing import Any

from django.utils.translation import gettext_lazy as _
from drf_spectacular.extensions import OpenApiAuthenticationExtension


class PlatformTokensScheme(OpenApiAuthenticationExtension):
    target_class = "tcmpay.accounts.authentication.PlatformTokens"
    name = "platformToken"

    def get_security_definition(self, auto_schema: Any) -> dict[str, Any]:
        return {
            "type": "http",
            "scheme": "bearer",
            "bearerFormat": "JWT",
            "description": _(
                "平台签发的令牌：sub（用户 UUID）、"
                "role（patient、doctor、admin、service）、exp、iat。"
                "开发时用 manage.py issue_token 生成。"
            ),
        }
