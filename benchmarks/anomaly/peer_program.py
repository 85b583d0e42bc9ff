"""Runs in the environment of the peers: a request of ``peers.run`` on stdin, its answer as the last line of stdout.

Each model sees the days before a fit only, on the logarithm of one more than the value where no value is negative.
Each says an interval of 99%; an interval of 99.8%, which fits the target for false alarms, is
taken to be 1.2 times as wide, as a normal distribution's is.
"""

import contextlib
import json
import logging
import resource
import sys
from datetime import date, timedelta
from importlib.metadata import version

import numpy as np

LEVEL = 0.99
WIDTH = 2.576
WIDER = (1.0, 1.2)
HISTORY = 392
"""Days of history that a model is fitted to, as many as the platform's detector sees."""


def prophet(dates, values, ahead):
    import pandas as pd
    from prophet import Prophet

    model = Prophet(interval_width=LEVEL, uncertainty_samples=300)
    model.add_country_holidays("GB")
    np.random.seed(1)
    model.fit(pd.DataFrame({"ds": dates, "y": values}))
    days = pd.DataFrame({"ds": [dates[-1] + timedelta(n + 1) for n in range(ahead)]})
    found = model.predict(days)
    return found["yhat_lower"].to_numpy(), found["yhat_upper"].to_numpy()


def _decomposed(fitted, seasonal, ahead):
    """The last trend and the last week's season, with a robust deviation of the rest."""
    rest = np.asarray(fitted.resid)
    spread = 1.4826 * np.median(np.abs(rest - np.median(rest)))
    middle = np.asarray(fitted.trend)[-1] + seasonal
    return middle - WIDTH * spread, middle + WIDTH * spread


def stl(dates, values, ahead):
    from statsmodels.tsa.seasonal import STL

    fitted = STL(values, period=7, robust=True).fit()
    week = np.asarray(fitted.seasonal)[-7:]
    return _decomposed(fitted, np.resize(week, ahead), ahead)


def mstl(dates, values, ahead):
    from statsmodels.tsa.seasonal import MSTL

    fitted = MSTL(values, periods=(7, 30), stl_kwargs={"robust": True}).fit()
    seasons = np.asarray(fitted.seasonal)
    season = np.resize(seasons[-7:, 0], ahead) + np.resize(seasons[-30:, 1], ahead)
    return _decomposed(fitted, season, ahead)


def auto_ets(dates, values, ahead):
    from statsforecast.models import AutoETS

    found = AutoETS(season_length=7).forecast(y=np.asarray(values, dtype=float), h=ahead, level=[99])
    return found["lo-99"], found["hi-99"]


DETECTORS = {
    "prophet": (prophet, "prophet"),
    "STL": (stl, "statsmodels"),
    "MSTL": (mstl, "statsmodels"),
    "AutoETS": (auto_ets, "statsforecast"),
}


def main() -> None:
    for name in ("prophet", "cmdstanpy", "prophet.plot"):
        logging.getLogger(name).setLevel(logging.CRITICAL)
    request = json.load(sys.stdin)
    forecast, package = DETECTORS[request["detector"]]
    began = _seconds()
    with contextlib.redirect_stdout(sys.stderr):
        alarms = [_alarms(one, request, forecast) for one in request["series"]]
    answer = {"alarms": alarms, "seconds": _seconds() - began, "version": f"{package} {version(package)}"}
    print(json.dumps(answer))


def _alarms(one, request, forecast):
    raw = np.array(one["values"], dtype=float)
    values = np.log1p(raw) if raw.min() >= 0 else raw
    first = date.fromisoformat(one["first"])
    dates = [first + timedelta(n) for n in range(len(values))]
    alarms = [[0] * len(values) for _ in WIDER]
    for day in range(request["start"], len(values), request["refit"]):
        ahead = min(request["refit"], len(values) - day)
        seen = slice(max(0, day - HISTORY), day)
        low, high = forecast(dates[seen], values[seen], ahead)
        for n in range(ahead):
            middle, half = (low[n] + high[n]) / 2, (high[n] - low[n]) / 2 + 1e-9
            for row, wider in zip(alarms, WIDER, strict=True):
                row[day + n] = int(abs(values[day + n] - middle) > wider * half)
    return alarms


def _seconds() -> float:
    """CPU time of this process and of the ones that it waited for."""
    return sum(
        used.ru_utime + used.ru_stime
        for used in (resource.getrusage(resource.RUSAGE_SELF), resource.getrusage(resource.RUSAGE_CHILDREN))
    )


if __name__ == "__main__":
    main()
