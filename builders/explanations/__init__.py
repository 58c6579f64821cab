"""The recipe `explanations` (SelfSynthX): questions about a labelled image, answered by its label and what shows it."""
