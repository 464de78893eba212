"""Reads {dnd, at} as lines of JSON and prints until when it is quiet, in seconds since 1970, or null: minute by minute, by zoneinfo."""
import json
import sys
from datetime import datetime, time, timedelta, timezone
from zoneinfo import ZoneInfo

MINUTE = timedelta(minutes=1)


def is_quiet(dnd, at):
    local = at.astimezone(ZoneInfo(dnd["timeZone"])).replace(tzinfo=None)
    for window in dnd["windows"]:
        opens, closes = time.fromisoformat(window["from"]), time.fromisoformat(window["to"])
        for day in (local.date(), local.date() - timedelta(days=1)):
            start = datetime.combine(day, opens)
            end = datetime.combine(day, closes) + timedelta(days=1 if closes <= opens else 0)
            if day.isoweekday() in window["days"] and start <= local < end:
                return True
    return False


for line in sys.stdin:
    case = json.loads(line)
    at = datetime.fromtimestamp(case["at"], timezone.utc)
    until = at
    while is_quiet(case["dnd"], until) and until < at + timedelta(days=7):
        until += MINUTE
    print(json.dumps(None if until == at else until.timestamp()))
