"""Settings are refused by name, value and what is allowed."""

from __future__ import annotations

import pytest

from farthing.kube.main import SettingError, Settings, read_settings


def test_without_any_setting_the_operator_listens_on_loopback_in_its_own_namespace() -> None:
    assert read_settings([], {}) == Settings(
        host="127.0.0.1",
        port=8081,
        level="info",
        namespace="farthing-system",
        currency="USD",
        prometheus_url=None,
        identity=None,
    )


@pytest.mark.parametrize(
    ("arguments", "environment", "refusal"),
    [
        (
            [],
            {"FARTHING_CURRENCY": "euro"},
            "FARTHING_CURRENCY: 'euro' is refused; allowed: an ISO 4217",
        ),
        ([], {"FARTHING_POD_NAMESPACE": "A b"}, "FARTHING_POD_NAMESPACE: 'A b' is refused"),
        (
            [],
            {"FARTHING_PROMETHEUS_URL": "file:///x"},
            "FARTHING_PROMETHEUS_URL: 'file:///x' is refused",
        ),
        (["--port", "70000"], {}, "--port: 70000 is refused; allowed: 0 to 65535"),
    ],
)
def test_a_setting_that_cannot_be_is_refused(
    arguments: list[str], environment: dict[str, str], refusal: str
) -> None:
    with pytest.raises(SettingError) as refused:
        read_settings(arguments, environment)
    assert str(refused.value).startswith(refusal)
