"""The YAML: read with positions, validated into frozen types, overridden by the environment."""
