"""The live layer: changes since a build, in a durable log and in the index as it is now."""
