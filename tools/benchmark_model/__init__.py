"""Which model writes code that works: tasks, answers, verdicts and what they say."""
