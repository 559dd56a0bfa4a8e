"""What poles report and show: enrolment, events, visits, pictures."""
