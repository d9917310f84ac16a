"""Experiments run and judged: ablations, recipes, comparisons, verdicts and their pages."""
