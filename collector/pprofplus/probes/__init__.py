"""Where figures come from: one module a source."""
