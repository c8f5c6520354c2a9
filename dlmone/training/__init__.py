"""Training: pretraining a teacher, distilling it stage by stage, checkpoints and the run directory."""
