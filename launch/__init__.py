"""The entry point: the only room that knows Hydra, submitit and W&B."""
