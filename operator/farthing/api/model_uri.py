"""Where a model may come from, and which addresses are refused.

A tenant writes the address and a pod of the tenant fetches it, so the address must
not become a way to reach what the pod's network can reach and the tenant should
not: metadata services and the pod's own loopback. The rules refuse every numeric
host and the well-known names. A name that resolves to such an address cannot be
seen here; that is for the namespace's NetworkPolicy.
"""

import re
from typing import Annotated

from pydantic import AfterValidator, WithJsonSchema
from pydantic_core import PydanticCustomError

from farthing.api.part import ALLOWED, RULES, rule

LONGEST = 512
_PATTERN = r"^(image:///|(pvc|hf|s3|gs|https)://)[A-Za-z0-9][A-Za-z0-9._~+=:/-]*$"
_ALLOWED = (
    "image:///PATH, pvc://CLAIM/PATH, hf://OWNER/NAME, s3://BUCKET/KEY, gs://BUCKET/KEY or "
    "https://HOST/PATH, of letters, digits and . _ ~ + = : / -, without user, password or query"
)
_NO_PARENT = "a path without .."
# At least one dot, and a last label that starts with a letter: no address, however spelled.
_HOST = (
    r"^https://([A-Za-z0-9]([-A-Za-z0-9]*[A-Za-z0-9])?[.])+[A-Za-z][-A-Za-z0-9]*(:[0-9]{1,5})?(/|$)"
)
_HOST_ALLOWED = "https with a DNS name of at least two labels; addresses in digits are refused"
_FORBIDDEN = (
    r"^https://([^/:]*[.])?(localhost|localhost[.]localdomain|metadata[.]google[.]internal"
    r"|metadata[.]goog|metadata[.]azure[.]com|metadata[.]azure[.]internal"
    r"|instance-data[.]ec2[.]internal)(:|/|$)"
)
_FORBIDDEN_ALLOWED = "hosts other than the machine itself and the cloud's metadata service"

_CHECKS = (
    (lambda uri: re.fullmatch(_PATTERN[1:-1], uri) is not None, _ALLOWED),
    (lambda uri: ".." not in uri, _NO_PARENT),
    (lambda uri: not uri.startswith("https://") or re.match(_HOST, uri), _HOST_ALLOWED),
    (lambda uri: not re.match(_FORBIDDEN, uri.lower()), _FORBIDDEN_ALLOWED),
)


def _check(uri: str) -> str:
    if len(uri) > LONGEST:
        raise PydanticCustomError("uri", "{allowed}", {"allowed": f"at most {LONGEST} characters"})
    for holds, allowed in _CHECKS:
        if not holds(uri):
            raise PydanticCustomError("uri", "{allowed}", {"allowed": allowed})
    return uri


ModelUri = Annotated[
    str,
    AfterValidator(_check),
    WithJsonSchema(
        {
            "type": "string",
            "minLength": 1,
            "maxLength": LONGEST,
            ALLOWED: _ALLOWED,
            RULES: [
                rule(f"self.matches('{_PATTERN}')", allowed=_ALLOWED),
                rule("!self.contains('..')", allowed=_NO_PARENT),
                rule(
                    f"!self.startsWith('https://') || self.matches('{_HOST}')",
                    allowed=_HOST_ALLOWED,
                ),
                rule(f"!self.lowerAscii().matches('{_FORBIDDEN}')", allowed=_FORBIDDEN_ALLOWED),
            ],
        }
    ),
]
