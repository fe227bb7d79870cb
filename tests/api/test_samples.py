"""Every sample is taken or refused by decoding as its file says."""

from __future__ import annotations

import pathlib

import pytest
from tests.api import samples

from farthing import api
from farthing.api.decoding import KINDS


@pytest.mark.parametrize("path", samples.VALID, ids=samples.name_of)
def test_a_valid_sample_survives_a_round_trip(path: pathlib.Path) -> None:
    decoded = api.decode(samples.document(path))

    assert api.decode(decoded.to_document()) == decoded


@pytest.mark.parametrize("path", samples.VALID, ids=samples.name_of)
def test_what_a_valid_sample_states_is_kept_as_it_was_written(path: pathlib.Path) -> None:
    stated = samples.document(path)["spec"]

    assert _restricted(api.decode(samples.document(path)).to_document()["spec"], stated) == stated


def _restricted(value: object, like: object) -> object:
    if isinstance(value, dict) and isinstance(like, dict):
        return {key: _restricted(value[key], like[key]) for key in like}
    if isinstance(value, list) and isinstance(like, list):
        return [_restricted(item, shape) for item, shape in zip(value, like, strict=True)]
    return value


@pytest.mark.parametrize("path", samples.INVALID, ids=samples.name_of)
def test_an_invalid_sample_is_refused_with_the_words_it_promises(path: pathlib.Path) -> None:
    with pytest.raises(api.InvalidResource) as refusal:
        api.decode(samples.document(path))

    assert [text for text in samples.refusals(path) if text not in str(refusal.value)] == []


def test_every_kind_has_a_smallest_and_a_full_sample() -> None:
    names = {path.stem for path in samples.VALID}
    kinds = ("inference-service", "capacity-pool", "inference-runtime", "model-profile")
    wanted = {f"{kind}-{size}" for kind in (*kinds, "cluster-budget") for size in _SIZES}

    assert (wanted - names, len(KINDS)) == (set(), 5)


_SIZES = ("smallest", "full")


def test_the_invalid_samples_are_many() -> None:
    assert len(samples.INVALID) >= 55
