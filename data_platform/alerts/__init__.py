"""Reports each problem once: problems become incidents, incidents become messages.

``incidents`` decides (pure), ``messages`` makes posts (pure), each channel renders and sends
them (``channels``), and ``announce`` combines these for its caller. Finding the problems needs the
orchestrator and is done elsewhere; nothing here imports Dagster.
"""
