"""Reports each problem once: problems become incidents, incidents become messages.

``incidents`` decides (pure), ``messages`` renders (pure), ``slack`` sends (thin), and
``announce`` combines the three for its caller. Finding the problems needs the
orchestrator and is done elsewhere; nothing here imports Dagster.
"""
