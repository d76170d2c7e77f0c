"""Kinds of values that keys may have, and the group that keys stand in."""

from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

Probability = Annotated[float, Field(ge=0, le=1)]
NonNegative = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Rate = Annotated[float, Field(ge=0, le=1000)]
Count = Annotated[int, Field(ge=1, le=1_000_000)]
Side = Annotated[int, Field(ge=1, le=4096)]
Finite = Annotated[float, Field(allow_inf_nan=False)]
Rgb = Annotated[list[Finite], Field(min_length=3, max_length=3)]
Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]
Deviation = Annotated[float, Field(ge=1e-6, allow_inf_nan=False)]
DeviationRgb = Annotated[list[Deviation], Field(min_length=3, max_length=3)]


def _ascending(values: list[float]) -> list[float]:
    if values[0] > values[1]:
        raise ValueError(f"expected [low, high] with low <= high, got {values}")
    return values


Interval = Annotated[list[Positive], Field(min_length=2, max_length=2), AfterValidator(_ascending)]


class Section(BaseModel):
    """A closed group of keys: an unknown one is an error."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)
