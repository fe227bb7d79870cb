"""Whether a component answers that it is well."""

from __future__ import annotations

from farthing_local import components, http_requests
from farthing_local.state import Component

_PATHS = {
    components.ETCD: "/health",
    components.API_SERVER: "/readyz",
    components.CONTROLLER_MANAGER: "/healthz",
    components.SCHEDULER: "/readyz",
    components.KWOK: "/healthz",
}
# Without it, a pod that names no ServiceAccount is refused.
_DEFAULT_ACCOUNT = "/api/v1/namespaces/default/serviceaccounts/default"


def problem(layout: components.Layout, component: Component) -> str | None:
    """None when the component is healthy, otherwise what it says or why it says nothing."""
    try:
        answer = _ask(layout, component)
    except (http_requests.NoAnswerError, OSError) as error:
        return f"no answer: {error}"
    if answer.status == 200:
        return None
    lines = answer.body.decode(errors="replace").splitlines()
    failing = [line for line in lines if line.startswith("[-]")]
    return f"answers {answer.status}: {', '.join(failing or lines[:1])[:160]}"


def has_default_account(layout: components.Layout, api_server: Component) -> bool:
    """Whether the controllers have made the namespace `default` ready for pods."""
    context = http_requests.client_context(layout.pki)
    try:
        answer = http_requests.over_tls(api_server.port or 0, _DEFAULT_ACCOUNT, context)
    except http_requests.NoAnswerError:
        return False
    return answer.status == 200


def _ask(layout: components.Layout, component: Component) -> http_requests.Answer:
    if component.name == components.NODE_AGENT:
        return http_requests.over_socket(layout.agent_socket, "GET", "/status")
    if component.name == components.KWOK:
        return http_requests.over_http(component.port or 0, _PATHS[component.name])
    pair = "etcd-client" if component.name == components.ETCD else "admin"
    context = http_requests.client_context(layout.pki, pair)
    return http_requests.over_tls(component.port or 0, _PATHS[component.name], context)
