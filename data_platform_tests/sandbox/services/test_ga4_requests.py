"""How Google Analytics' Data API is asked: pages, filters, quotas, refusals, its description and its client."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import requests

from data_platform.sandbox.services.ga4.service import PROPERTY
from data_platform_tests.sandbox.services.property import Property, report, values

# ---------------------------------------------------------------- pages, order, filters


def test_pages_make_up_the_whole_only_in_a_complete_order(property_: Property) -> None:
    whole = property_.rows("date pagePath", "eventCount", limit=250_000)
    order = [{"dimension": {"dimensionName": name}} for name in ("date", "pagePath")]
    paged, counts = [], set()
    for offset in range(0, len(whole), 100):
        answer = property_.post("runReport", report("date pagePath", "eventCount", orderBys=order, limit="100", offset=str(offset))).json()  # fmt: skip
        counts.add(answer["rowCount"])
        paged += values(answer)
    assert counts == {len(whole)}
    assert sorted(paged) == sorted(whole)
    assert len({row[:2] for row in paged}) == len(paged)
    loose = [row for offset in range(0, len(whole), 100) for row in property_.rows("date pagePath", "eventCount", limit=100, offset=offset)]  # fmt: skip
    assert len({row[:2] for row in loose}) < len(loose) == len(whole)


def test_the_first_metric_orders_by_default_and_limits_are_googles(property_: Property) -> None:
    counts = [int(n) for _, n in property_.rows("pagePath", "eventCount")]
    assert counts == sorted(counts, reverse=True)
    refused = property_.post("runReport", report("date", "sessions", limit=250_001))
    assert (refused.status_code, refused.json()["error"]["status"]) == (400, "INVALID_ARGUMENT")


@pytest.mark.parametrize(
    ("filter_", "keep"),
    [
        ({"stringFilter": {"value": "PURCHASE"}}, lambda name: name == "purchase"),
        ({"stringFilter": {"value": "PURCHASE", "caseSensitive": True}}, lambda name: False),
        ({"stringFilter": {"matchType": "BEGINS_WITH", "value": "s"}}, lambda name: name[0] == "s"),
        ({"stringFilter": {"matchType": 3, "value": "_view"}}, lambda name: name.endswith("_view")),
        ({"stringFilter": {"matchType": "CONTAINS", "value": "_to_"}}, lambda name: "_to_" in name),
        ({"stringFilter": {"matchType": "FULL_REGEXP", "value": "p.*|sign_up"}}, lambda name: name[0] == "p" or name == "sign_up"),
        ({"inListFilter": {"values": ["purchase", "Sign_Up"]}}, lambda name: name in ("purchase", "sign_up")),
    ],
)  # fmt: skip
def test_filters(property_: Property, filter_: dict[str, Any], keep: Any) -> None:
    everything = property_.rows("eventName", "eventCount")
    one = {"filter": {"fieldName": "eventName", **filter_}}
    assert sorted(property_.rows("eventName", "eventCount", dimensionFilter=one)) == sorted(
        row for row in everything if keep(row[0])
    )
    assert sorted(
        property_.rows("eventName", "eventCount", dimensionFilter={"notExpression": one})
    ) == sorted(row for row in everything if not keep(row[0]))


def test_metric_filters_groups_and_totals(property_: Property) -> None:
    more_than = {
        "filter": {
            "fieldName": "eventCount",
            "numericFilter": {"operation": "GREATER_THAN", "value": {"int64Value": "300"}},
        }
    }
    rows = property_.rows("eventName", "eventCount")
    assert sorted(property_.rows("eventName", "eventCount", metricFilter=more_than)) == sorted(
        row for row in rows if int(row[1]) > 300
    )
    answer = property_.post(
        "runReport", report("date", "totalUsers sessions", metricAggregations=["TOTAL", 6])
    ).json()
    assert values({"rows": answer["totals"]})[0][1:] == property_.rows("", "totalUsers sessions")[0]
    assert answer["totals"][0]["dimensionValues"] == [{"value": "RESERVED_TOTAL"}]
    assert values({"rows": answer["maximums"]})[0][2] == max(
        (row[2] for row in property_.rows("date", "totalUsers sessions")), key=int
    )


def test_rows_of_zeros_come_only_when_asked_for(property_: Property) -> None:
    asked = {"start": "2026-11-01", "end": "2026-11-19"}
    rows = property_.rows("date", "newUsers", keepEmptyRows=True, **asked)
    assert ("0" in {n for _, n in rows}) and "0" not in {
        n for _, n in property_.rows("date", "newUsers", **asked)
    }


def test_several_date_ranges_are_told_apart(property_: Property) -> None:
    ranges = [
        {"startDate": "2026-10-01", "endDate": "2026-10-31", "name": "october"},
        {"startDate": "2026-09-01", "endDate": "2026-09-30"},
    ]
    answer = property_.post("runReport", {**report("", "sessions"), "dateRanges": ranges}).json()
    assert answer["dimensionHeaders"] == [{"name": "dateRange"}]
    assert {name for name, _ in values(answer)} == {"october", "date_range_1"}


# ---------------------------------------------------------------- what Google does to reports


def test_sampling_thresholds_and_other_rows_are_told(property_: Property) -> None:
    behaviour = property_.analytics.behaviour
    full = property_.post("runReport", report("pagePath", "eventCount", limit=100_000)).json()
    assert full["metadata"] == {"currencyCode": "USD", "timeZone": "America/New_York"}
    exact = sum(int(n) for _, n in values(full))

    behaviour.sampling = 0.5
    sampled = property_.post("runReport", report("", "eventCount")).json()
    (sampling,) = sampled["metadata"]["samplingMetadatas"]
    assert int(sampling["samplesReadCount"]) == round(int(sampling["samplingSpaceSize"]) / 2)
    assert 0.8 * exact < int(values(sampled)[0][0]) != exact

    behaviour.sampling, behaviour.threshold = 1.0, 5
    held = property_.post("runReport", report("pagePath", "eventCount totalUsers")).json()
    assert held["metadata"]["subjectToThresholding"] is True
    assert 0 < held["rowCount"] < full["rowCount"]
    assert min(int(row[2]) for row in values(held)) >= 5

    behaviour.threshold, behaviour.other_after = 0, 10
    folded = property_.post("runReport", report("pagePath", "eventCount")).json()
    assert folded["metadata"]["dataLossFromOtherRow"] is True
    assert folded["rowCount"] == 11
    assert sum(int(n) for _, n in values(folded)) == exact
    assert "(other)" in dict(values(folded))


def test_retention_and_restrictions_are_told(property_: Property) -> None:
    property_.analytics.behave({"retained_from": "2026-11-01", "restricted": ("purchaseRevenue",)})
    answer = property_.post(
        "runReport", report("date", "sessions purchaseRevenue", start="2026-10-01")
    ).json()
    (reason,) = answer["metadata"]["dataTruncationReasons"]
    assert reason["dataTruncationType"] == "DATA_TRUNCATION_TYPE_PROPERTY"
    assert reason["dataTruncationDate"] == "2026-11-01"
    assert min(row[0] for row in values(answer)) >= "20261101"
    assert {row[2] for row in values(answer)} == {"0"}
    restriction = answer["metadata"]["schemaRestrictionResponse"]["activeMetricRestrictions"]
    assert restriction == [{"metricName": "purchaseRevenue", "restrictedMetricTypes": ["REVENUE_DATA"]}]


def test_quota_is_counted_and_runs_out(property_: Property) -> None:
    asked = report("date", "sessions", returnPropertyQuota=True)
    first, second = (property_.post("runReport", asked).json()["propertyQuota"]["tokensPerDay"] for _ in "12")
    assert first["consumed"] > 1
    assert first["remaining"] - second["remaining"] == second["consumed"]
    property_.analytics.behave({"project_tokens_an_hour": 10})
    refused = property_.post("runReport", asked)
    assert (refused.status_code, refused.json()["error"]["status"]) == (429, "RESOURCE_EXHAUSTED")
    property_.at(30 + 1 / 24)
    assert property_.post("runReport", asked).status_code == 200


# ---------------------------------------------------------------- refusals


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (report("date", "sesions"), "Did you mean sessions? Field sesions is not a valid metric."),
        (report("sauce", "sessions"), "Field sauce is not a valid dimension."),
        (report("date", "sessions", start="2026-13-01"), "Invalid date: 2026-13-01."),
        (report("date", "sessions", start="2026-11-02", end="2026-11-01"), "is after endDate"),
        (report("date itemName", "sessions"), "Please remove sessions to make the request compatible."),
        ({"dimensions": [{"name": "date"}], "metrics": []}, "A dateRange is required."),
        (report("date", "sessions", orderBys=[{"metric": {"metricName": "totalUsers"}}]), "Cannot order by totalUsers"),
        (report("date", "sessions", filter={}), 'Unknown name "filter"'),
        (report("date", "sessions", currencyCode="EUR"), "reports in USD only"),
    ],
)  # fmt: skip
def test_wrong_requests_are_refused_in_googles_form(
    property_: Property, body: dict[str, Any], message: str
) -> None:
    refused = property_.post("runReport", body)
    error = refused.json()["error"]
    assert (refused.status_code, error["code"], error["status"]) == (400, 400, "INVALID_ARGUMENT")
    assert message in error["message"]


def test_who_may_not_read_is_refused(property_: Property) -> None:
    asked = report("date", "sessions")
    assert property_.post("runReport", asked, Authorization="Bearer no").status_code == 401
    assert property_.post("runReport", asked, Authorization="").status_code == 200
    property_.analytics.behaviour.anonymous = False
    assert property_.post("runReport", asked, Authorization="").json()["error"]["status"] == "UNAUTHENTICATED"
    other = requests.post(
        f"{property_.place.url}/v1beta/properties/1:runReport",
        json=asked,
        headers={"Authorization": f"Bearer {property_.token}"},
        timeout=30,
    )
    assert (other.status_code, other.json()["error"]["status"]) == (403, "PERMISSION_DENIED")
    forged = requests.post(f"{property_.place.url}/token", data={"assertion": "a.b.c"}, timeout=30)
    assert (forged.status_code, forged.json()["error"]) == (400, "invalid_grant")


def test_faults_have_googles_form(property_: Property) -> None:
    answer = property_.post("runReport", report("date", "sessions"), **{"Sandbox-Fault": '{"status": 503}'})
    assert (answer.status_code, answer.json()["error"]["status"]) == (503, "UNAVAILABLE")


# ---------------------------------------------------------------- against Google's description and client


def _description() -> dict[str, Any]:
    import googleapiclient.discovery_cache

    folder = Path(googleapiclient.discovery_cache.__file__).parent / "documents"
    schemas: dict[str, Any] = json.loads((folder / "analyticsdata.v1beta.json").read_text())["schemas"]
    return schemas


def _conforms(value: Any, schema: dict[str, Any], schemas: dict[str, Any], at: str) -> None:
    if "$ref" in schema:
        schema = schemas[schema["$ref"]]
    if schema["type"] == "object":
        assert set(value) <= set(schema.get("properties", {})), at
        for key, one in value.items():
            _conforms(one, schema["properties"][key], schemas, f"{at}.{key}")
    elif schema["type"] == "array":
        for one in value:
            _conforms(one, schema["items"], schemas, f"{at}[]")
    else:
        kind = {"string": str, "integer": int, "boolean": bool}[schema["type"]]
        assert isinstance(value, kind), at
        assert value in schema.get("enum", [value]), at


def test_answers_conform_to_the_discovery_document(property_: Property) -> None:
    schemas = _description()
    behaviour = property_.analytics.behaviour
    behaviour.sampling, behaviour.threshold, behaviour.other_after = 0.9, 1, 5
    property_.analytics.behave({"retained_from": "2026-01-01", "restricted": ("purchaseRevenue",)})
    asked = report(
        "date pagePath", "sessions purchaseRevenue engagementRate", limit=50,
        returnPropertyQuota=True, metricAggregations=["TOTAL", "MINIMUM", "MAXIMUM"],
    )  # fmt: skip
    whole = property_.post("runReport", asked).json()
    assert {"rows", "totals", "minimums", "maximums", "metadata", "propertyQuota", "rowCount"} <= set(whole)
    _conforms(whole, {"$ref": "RunReportResponse"}, schemas, "runReport")
    batch = property_.post("batchRunReports", {"requests": [asked, report("date", "sessions")]}).json()
    assert len(batch["reports"]) == 2
    _conforms(batch, {"$ref": "BatchRunReportsResponse"}, schemas, "batchRunReports")
    metadata = requests.get(
        f"{property_.place.url}/v1beta/properties/{PROPERTY}/metadata",
        headers={"Authorization": f"Bearer {property_.token}"},
        timeout=30,
    ).json()
    _conforms(metadata, {"$ref": "Metadata"}, schemas, "metadata")
    fits = property_.post(
        "checkCompatibility", {"dimensions": [{"name": "itemName"}], "compatibilityFilter": "INCOMPATIBLE"}
    ).json()
    assert {"sessions"} <= {one["metricMetadata"]["apiName"] for one in fits["metricCompatibilities"]}
    _conforms(fits, {"$ref": "CheckCompatibilityResponse"}, schemas, "checkCompatibility")


def test_the_official_client_reads_it(property_: Property) -> None:
    from google.analytics import data_v1beta as api
    from google.analytics.data_v1beta.services.beta_analytics_data.transports import (
        BetaAnalyticsDataRestTransport,
    )
    from google.api_core.exceptions import BadRequest, Forbidden
    from google.auth.credentials import AnonymousCredentials

    transport = BetaAnalyticsDataRestTransport(
        host=f"127.0.0.1:{property_.place.port}", url_scheme="http", credentials=AnonymousCredentials()
    )
    client = api.BetaAnalyticsDataClient(transport=transport)
    asked = api.RunReportRequest(
        property=f"properties/{PROPERTY}",
        dimensions=[api.Dimension(name="date")],
        metrics=[api.Metric(name="sessions"), api.Metric(name="purchaseRevenue")],
        date_ranges=[api.DateRange(start_date="2026-11-01", end_date="2026-11-19")],
        order_bys=[api.OrderBy(dimension=api.OrderBy.DimensionOrderBy(dimension_name="date", order_type=1))],
        dimension_filter=api.FilterExpression(
            filter=api.Filter(
                field_name="eventName",
                string_filter=api.Filter.StringFilter(
                    value="purchase", match_type=api.Filter.StringFilter.MatchType.EXACT
                ),
            )
        ),
        metric_aggregations=[api.MetricAggregation.TOTAL],
        return_property_quota=True,
    )
    answer = client.run_report(asked)
    assert answer.row_count == len(answer.rows) > 5
    assert [header.type_ for header in answer.metric_headers] == [
        api.MetricType.TYPE_INTEGER,
        api.MetricType.TYPE_CURRENCY,
    ]
    assert answer.metadata.time_zone == "America/New_York"
    assert answer.property_quota.tokens_per_day.remaining < 200_000
    assert int(answer.totals[0].metric_values[0].value) == sum(
        int(row.metric_values[0].value) for row in answer.rows
    )
    batch = client.batch_run_reports(
        api.BatchRunReportsRequest(property=f"properties/{PROPERTY}", requests=[asked, asked])
    )
    assert [one.row_count for one in batch.reports] == [answer.row_count] * 2
    known = client.get_metadata(name=f"properties/{PROPERTY}/metadata")
    assert "purchaseRevenue" in {metric.api_name for metric in known.metrics}
    fits = client.check_compatibility(
        api.CheckCompatibilityRequest(
            property=f"properties/{PROPERTY}", dimensions=[api.Dimension(name="itemName")]
        )
    )
    compatible = {one.metric_metadata.api_name: one.compatibility for one in fits.metric_compatibilities}
    assert compatible["sessions"] == api.Compatibility.INCOMPATIBLE
    assert compatible["itemRevenue"] == api.Compatibility.COMPATIBLE
    with pytest.raises(BadRequest, match="not a valid metric"):
        asked.metrics = [api.Metric(name="sesions")]
        client.run_report(asked)
    with pytest.raises(Forbidden, match="sufficient permissions"):
        asked.property = "properties/1"
        client.run_report(asked)
