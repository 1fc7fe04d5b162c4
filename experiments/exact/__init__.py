"""What the experiments on exact samplers share: measuring, verdicts, figures."""
