package objstore

// Watch lets watch do every step that a local driver's writes do to the disk: create, sync, link, rename, mkdir and syncdir.
func Watch(d Driver, watch func(op, name, to string, do func() error) error) {
	d.(*localDriver).watch = watch
}
