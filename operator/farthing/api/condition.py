"""Conditions, in the one shape that every Kubernetes tool reads."""

from typing import Literal

from pydantic import Field

from farthing.api.fields import Instant, Reason
from farthing.api.part import StatusPart

LONGEST_MESSAGE = 2048


class Condition(StatusPart):
    """One aspect of the state of an object: true, false or not known."""

    type: Reason = Field(description="Which aspect this is about, one CamelCase word.")
    status: Literal["True", "False", "Unknown"] = Field(
        description="Whether it holds. Unknown when it could not be observed."
    )
    observed_generation: int | None = Field(
        default=None,
        ge=0,
        description="The metadata.generation of the object that this condition was set for.",
    )
    last_transition_time: Instant = Field(
        description="When the status last went from one value to another, in UTC."
    )
    reason: Reason = Field(description="Why, as one CamelCase word that programs may rely on.")
    message: str = Field(
        default="", max_length=LONGEST_MESSAGE, description="Why, as a sentence for people."
    )
