"""Teachers and what is made of them: networks, spaces, schedules, students, score estimators."""
