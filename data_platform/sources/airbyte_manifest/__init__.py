"""Sources that Airbyte's declarative manifests describe: Airbyte's own program extracts, the platform lands."""
