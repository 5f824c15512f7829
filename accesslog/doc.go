// Package accesslog is the access log: its record, and formats that write a record as a line and read a line back.
//
//	f := accesslog.IstioCurrent()                     // or ParseText("%START_TIME% %RESPONSE_CODE%\n"), ParseJSON(...)
//	line = f.Append(line[:0], &accesslog.Record{...}) // allocates nothing once line has grown
//
//	entry, err := accesslog.NewReader(f).Read(text) // any known format; entry.Format says which it was
//
// A format is written with Envoy's command operators (%REQ(:METHOD)%), as in Istio's meshConfig.accessLogFormat; operator.go
// has the list. One that is not there is an error: a column that is silently empty helps nobody.
//
// # Escapes
//
// A record is one line whatever a client sends. In text, control characters, invalid UTF-8, backslashes, quotes, and the
// byte by which a reader would recognise the end of the value are written as \" or \\ or \xNN; outside of quotes blanks
// too. Envoy writes headers as they come, so a client can write columns of its own there. Read takes both: a backslash
// that begins no such escape is a backslash.
//
// A value that is absent is "-", and so is an empty one, since no format can tell the two apart.
//
// The package opens no file and runs no goroutine. When a line is written, and where to, is for others to decide.
package accesslog
