"""What the experiments on diffusion models share: originals, measuring, tables, figures."""
