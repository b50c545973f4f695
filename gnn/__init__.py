"""From the graph to scores with uncertainty: training, evaluation, recommendation."""
