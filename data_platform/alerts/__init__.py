"""What is wrong, told once: problems become incidents, incidents become messages.

``incidents`` decides (pure), ``messages`` renders (pure), ``slack`` sends (thin) and
``announce`` joins the three for whoever watches. Watching itself, which needs the
orchestrator, is not here; nothing here imports Dagster.
"""
