package system

import "context"

// Celery is Celery on RabbitMQ, with confirms.
var Celery = &System{
	Name: "celery", About: "classic queue, persistent, confirmed; acks before it runs", Server: "rabbitmq",
	Pace:    func(Job) int { return 2000 },
	Prepare: prepareCelery,
	Script:  "celery/process.py",
}

func prepareCelery(_ context.Context, url string) error {
	ch, err := dial(url)
	if err != nil {
		return err
	}
	defer ch.close()
	_, err = ch.QueueDelete("celery", false, false, false)
	return err
}
