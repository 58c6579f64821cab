"""The `preferences` recipe (STIC): pairs of descriptions, one to be preferred and one spoilt on purpose."""
