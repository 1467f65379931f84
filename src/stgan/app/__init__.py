"""The page of `stgan app`, on which a person generates clips and looks at them: a module for each screen."""
