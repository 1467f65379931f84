"""The experiments of the paper and further ones, scored by networks that do not steer."""
