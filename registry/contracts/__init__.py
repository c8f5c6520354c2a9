"""Contracts of plugins that use files, which `dlmone.core` knows nothing of; and how plugins are checked."""
