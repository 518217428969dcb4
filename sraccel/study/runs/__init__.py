"""Running a study: composed, warmed up, timed, compared, and kept."""
