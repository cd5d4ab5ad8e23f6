"""People and programs that an OpenID Connect provider knows: access tokens for the API, login for browsers.

It needs the extra ``oidc`` (Authlib and joserfc).
"""

from xds.http.oidc.accounts import OidcAccounts
from xds.http.oidc.client import Client, RoleRule
from xds.http.oidc.login import login_routes
from xds.http.oidc.provider import Provider, ProviderError, TokenError
from xds.http.oidc.sessions import Sessions

__all__ = [
    "Client",
    "OidcAccounts",
    "Provider",
    "ProviderError",
    "RoleRule",
    "Sessions",
    "TokenError",
    "login_routes",
]
