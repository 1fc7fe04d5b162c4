"""The embedded models, each with a model card and the command that makes it again."""
