"""The graph: everything that imports Dagster, one module a stage.

What happens is decided and done elsewhere (``sync``, ``quality``, ``alerts``);
here it becomes assets, checks, jobs, sensors and schedules. ``build.py`` puts
them together. Nothing is read or connected when these modules are imported.
"""
