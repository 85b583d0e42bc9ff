"""A DAG that a company has already: it loads products, then writes a report. docs/airflow.md moves its first task to
Dagster; the last lines are what that adds."""

import logging
from datetime import datetime
from pathlib import Path

from airflow import DAG
from airflow.operators.python import PythonOperator
from dagster_airlift.in_airflow import proxying_to_dagster
from dagster_airlift.in_airflow.proxied_state import load_proxied_state_from_yaml


def load_products() -> None:
    logging.info("products, loaded by Airflow")


def write_report() -> None:
    logging.info("the report")


with DAG("nightly", start_date=datetime(2026, 1, 1), schedule=None, catchup=False) as dag:
    load = PythonOperator(task_id="load", python_callable=load_products)
    report = PythonOperator(task_id="report", python_callable=write_report)
    load >> report

proxying_to_dagster(
    global_vars=globals(),
    proxied_state=load_proxied_state_from_yaml(Path(__file__).parent / "proxied_state"),
)
