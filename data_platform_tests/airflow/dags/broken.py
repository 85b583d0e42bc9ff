"""A DAG whose task fails each time."""

from datetime import datetime

from airflow import DAG
from airflow.operators.python import PythonOperator


def fail() -> None:
    raise RuntimeError("as it does each time")


with DAG("broken", start_date=datetime(2026, 1, 1), schedule=None, catchup=False) as dag:
    PythonOperator(task_id="fail", python_callable=fail, retries=0)
