"""When something holds: dates, days of the week and hours of the day in a time zone."""

import re
from collections.abc import Iterator
from datetime import UTC, date, datetime, time, timedelta
from functools import lru_cache
from typing import Annotated, Literal, Self
from zoneinfo import ZoneInfo, available_timezones

from pydantic import AfterValidator, Field, WithJsonSchema, model_validator

from xds.documents.defect import invalid, quoted
from xds.documents.words import did_you_mean
from xds.rules.model.base import Model, given

_MOMENT = r"[0-9]{4}-[0-9]{2}-[0-9]{2}(?:T[0-9]{2}:[0-9]{2}(?::[0-9]{2})?(?:Z|[+-][0-9]{2}:[0-9]{2})?)?"
_HOUR = r"(?:[01][0-9]|2[0-3]):[0-5][0-9]"
_HOURS = rf"{_HOUR}-(?:{_HOUR}|24:00)"
_DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_HORIZON = 9
"""Days to look ahead: days and hours repeat after a week."""


@lru_cache(maxsize=1)
def _zone_names() -> frozenset[str]:
    return frozenset(available_timezones())


def _check_moment(text: str) -> str:
    try:
        if re.fullmatch(_MOMENT, text):
            datetime.fromisoformat(text)
            return text
    except ValueError:
        pass
    raise invalid(
        f"{quoted(text)} is not a date", "such as 2026-11-25, 2026-11-25T10:00 or 2026-11-25T10:00+08:00"
    )


def _check_hours(text: str) -> str:
    if not re.fullmatch(_HOURS, text):
        raise invalid(
            f"{quoted(text)} is not a range of hours", 'such as "09:00-18:00", or over midnight "22:00-06:00"'
        )
    begin, end = text.split("-")
    if begin == end:
        raise invalid(f"{quoted(text)} begins and ends at the same time", 'the whole day is "00:00-24:00"')
    return text


def _check_zone(text: str) -> str:
    if text not in _zone_names():
        raise invalid(
            f"there is no time zone {quoted(text)}",
            did_you_mean(text, _zone_names(), show=False) or "such as Asia/Shanghai or UTC",
        )
    return text


Moment = Annotated[
    str, AfterValidator(_check_moment), WithJsonSchema({"type": "string", "pattern": f"^{_MOMENT}$"})
]
Hours = Annotated[
    str, AfterValidator(_check_hours), WithJsonSchema({"type": "string", "pattern": f"^{_HOURS}$"})
]
Zone = Annotated[str, AfterValidator(_check_zone)]
Day = Literal["mon", "tue", "wed", "thu", "fri", "sat", "sun"]


class Schedule(Model):
    """The time is on or after ``from``, before ``until``, on one of the days, and within one of the hours.

    Hours over midnight, such as 22:00-06:00, belong to the day on which they begin. A time that a change to
    daylight saving time leaves out is taken as an hour later; of one that comes twice the first counts.
    """

    from_: Moment | None = Field(
        None, alias="from", description="When it begins.", examples=["2026-11-25T10:00", "2026-11-25"]
    )
    until: Moment | None = Field(None, description="When it is over.", examples=["2026-12-01T00:00"])
    days: Annotated[tuple[Day, ...], Field(min_length=1)] | None = Field(
        None,
        description="Days of the week. Default: every day.",
        examples=[["mon", "tue", "wed", "thu", "fri"]],
    )
    hours: Annotated[tuple[Hours, ...], Field(min_length=1, max_length=100)] | None = Field(
        None, description="Hours of the day. Default: all of it.", examples=[["09:00-18:00"]]
    )
    timezone: Zone | None = Field(
        None,
        description="The IANA time zone that dates, days and hours are in.",
        examples=["Asia/Shanghai", "UTC"],
    )

    @model_validator(mode="after")
    def _says_when(self) -> Self:
        if not given(self, "from_", "until", "days", "hours"):
            raise invalid("no time", "give from, until, days or hours")
        zoned = (text is None or _has_offset(text) for text in (self.from_, self.until))
        if self.timezone is None and (self.days or self.hours or not all(zoned)):
            raise invalid("no timezone", "say which one the times are in, such as timezone: Asia/Shanghai")
        if self.begins and self.ends and self.begins >= self.ends:
            raise invalid("until is not after from", "exchange the two")
        return self

    @property
    def begins(self) -> datetime | None:
        """``from`` in UTC."""
        return self._in_utc(self.from_)

    @property
    def ends(self) -> datetime | None:
        """``until`` in UTC."""
        return self._in_utc(self.until)

    def holds(self, now: datetime) -> bool:
        """Whether ``now``, which has a time zone, is within the schedule."""
        if (self.begins and now < self.begins) or (self.ends and now >= self.ends):
            return False
        today = now.astimezone(self._zone).date()
        return any(begin <= now < end for begin, end in self._windows(today - timedelta(days=1), 2))

    def next_change(self, now: datetime) -> datetime | None:
        """Return when `holds` is next another than it is ``now``, in UTC; None if it stays."""
        state = self.holds(now)
        start = max(now, self.begins) if self.begins else now
        first = start.astimezone(self._zone).date() - timedelta(days=1)
        marks = {mark for window in self._windows(first, _HORIZON) for mark in window}
        marks |= {mark for mark in (self.begins, self.ends) if mark}
        return next((mark for mark in sorted(marks) if mark > now and self.holds(mark) != state), None)

    @property
    def _zone(self) -> ZoneInfo:
        return ZoneInfo(self.timezone or "UTC")

    def _in_utc(self, text: str | None) -> datetime | None:
        if text is None:
            return None
        moment = datetime.fromisoformat(text)
        return (moment if moment.tzinfo else moment.replace(tzinfo=self._zone)).astimezone(UTC)

    def _windows(self, first: date, days: int) -> Iterator[tuple[datetime, datetime]]:
        """Yield when days and hours hold, in UTC, in windows that begin on ``first`` or a day after it."""
        for day in (first + timedelta(days=count) for count in range(days)):
            if self.days is None or _DAYS[day.weekday()] in self.days:
                for hours in self.hours or ("00:00-24:00",):
                    begin, end = map(_minutes, hours.split("-"))
                    yield self._at(day, begin), self._at(day, end if end > begin else end + 24 * 60)

    def _at(self, day: date, minutes: int) -> datetime:
        days, minute = divmod(minutes, 24 * 60)
        clock = time(*divmod(minute, 60), tzinfo=self._zone)
        return datetime.combine(day + timedelta(days=days), clock).astimezone(UTC)


def _minutes(hour: str) -> int:
    hours, minutes = hour.split(":")
    return int(hours) * 60 + int(minutes)


def _has_offset(text: str) -> bool:
    return datetime.fromisoformat(text).tzinfo is not None
