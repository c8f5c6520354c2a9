"""Try inputs that are wrong, and report what is not answered well.

    python benchmarks/fuzz [--seed 0] [--count 1000] [--only KIND] [--case KIND:N]

Recipes and ``--set``, rows, model folders, run directories and command lines are mutated, ``count`` in all.
Inputs are given to commands in processes of their own, with limits of time and memory. A finding is a
traceback or an internal error, a crash, a hang, exit 0 on what is surely an error, a failure without a
sentence, or a file that was there before and is changed. Prints a table by kind; exits with 1 if there is a
finding.
"""
