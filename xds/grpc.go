package xds

func (t *Translator) viewGRPC(v *View, n Node) {}
