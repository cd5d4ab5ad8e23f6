package main

import (
	"bufio"
	"encoding/json"
	"flag"
	"fmt"
	"net"
	"os"
	"slices"
	"strings"
	"time"
)

// command is what the Python half asks for, one JSON object a line; the answer is one, too.
type command struct {
	Do string `json:"do"` // connect, edits, storm, reconnect, deafen, control

	wish
	Streams     int    `json:"streams"`
	Connections int    `json:"connections"`
	Parallel    int    `json:"parallel"`  // streams that may be loading at a time
	Resources   int    `json:"resources"` // what a first load has
	Count       int    `json:"count"`     // edits
	Rate        int    `json:"rate"`      // edits a second
	Control     string `json:"control"`   // control ports, with commas between them
}

// answer has seconds, bytes read from sockets, and messages.
type answer struct {
	Error    string    `json:"error,omitempty"`
	Seconds  float64   `json:"seconds"`
	Delays   []float64 `json:"delays,omitempty"` // of each client, in order of size
	Rounds   []answer  `json:"rounds,omitempty"`
	Bytes    int64     `json:"bytes"`
	Messages int64     `json:"messages"`
	Reopened int64     `json:"reopened"` // streams, since the clients connected
}

// driver makes edits through the control ports of servers and sees when its clients have received them. Both
// ends of what is timed are in this process.
type driver struct {
	fleet    *fleet
	servers  []string
	controls []control
	edit     int // the last one made
}

// control is a connection to the control port of a server.
type control struct {
	net.Conn
	replies *bufio.Reader
}

func openControl(address string) (control, error) {
	connection, err := net.Dial("tcp", address)
	return control{connection, bufio.NewReader(connection)}, err
}

func load(arguments []string) error {
	flags := flag.NewFlagSet("load", flag.ExitOnError)
	servers := flags.String("xds", "", "host:port of the xDS port; several with commas between them")
	controls := flags.String("control", "", "the same of control ports")
	if err := flags.Parse(arguments); err != nil {
		return err
	}
	d := &driver{servers: strings.Split(*servers, ",")}
	if err := d.take(*controls); err != nil {
		return err
	}
	lines := bufio.NewScanner(os.Stdin)
	lines.Buffer(nil, 16<<20)
	output := json.NewEncoder(os.Stdout)
	for lines.Scan() {
		var c command
		if err := json.Unmarshal(lines.Bytes(), &c); err != nil {
			return err
		}
		a, err := d.obey(c)
		if err != nil {
			a.Error = err.Error()
		}
		if err := output.Encode(a); err != nil {
			return err
		}
	}
	return lines.Err()
}

func (d *driver) obey(c command) (answer, error) {
	switch c.Do {
	case "connect":
		d.fleet = newFleet(d.servers, c.wish)
		return d.connect(c, false)
	case "reconnect":
		return d.reconnect(c)
	case "edits":
		return d.edits(c)
	case "storm":
		return d.storm(c)
	case "control":
		return answer{}, d.take(c.Control)
	case "deafen":
		return answer{}, d.fleet.deafen(c.Streams, c.wish)
	}
	return answer{}, fmt.Errorf("unknown command %q", c.Do)
}

// take uses other control ports from now on, and brings their servers to the edit of all others.
func (d *driver) take(addresses string) error {
	for _, each := range d.controls {
		_ = each.Close()
	}
	d.controls = nil
	for address := range strings.SplitSeq(addresses, ",") {
		c, err := openControl(address)
		if err != nil {
			return err
		}
		d.controls = append(d.controls, c)
	}
	if d.edit == 0 {
		return nil
	}
	return d.tell()
}

func (d *driver) connect(c command, resume bool) (answer, error) {
	start, bytes, messages := time.Now(), d.fleet.bytes.Load(), d.fleet.messages.Load()
	r, err := d.fleet.connect(c.Streams, c.Connections, c.Parallel, c.Resources, d.edit, resume)
	if err != nil {
		return answer{}, err
	}
	return d.result(r, start, bytes, messages), nil
}

// reconnect closes all streams, makes an edit, and has them all come back at once.
func (d *driver) reconnect(c command) (answer, error) {
	d.fleet.close()
	d.fleet.wish = c.wish
	if err := d.makeEdit(); err != nil {
		return answer{}, err
	}
	return d.connect(c, c.Delta)
}

// edits makes edits one after the other, each when every client has received the one before.
func (d *driver) edits(c command) (answer, error) {
	var all answer
	for range c.Count {
		bytes, messages := d.fleet.bytes.Load(), d.fleet.messages.Load()
		r := d.fleet.await(len(d.fleet.streams), 0, d.edit+1)
		if err := d.makeEdit(); err != nil {
			return all, err
		}
		if err := d.fleet.wait(r); err != nil {
			return all, err
		}
		all.Rounds = append(all.Rounds, d.result(r, r.start, bytes, messages))
		time.Sleep(20 * time.Millisecond) // the acknowledgements
	}
	return all, nil
}

// storm makes edits at a rate, whoever has received them, and waits until every client has the last.
func (d *driver) storm(c command) (answer, error) {
	bytes, messages := d.fleet.bytes.Load(), d.fleet.messages.Load()
	start := time.Now()
	r := d.fleet.await(len(d.fleet.streams), 0, d.edit+c.Count)
	made := make(chan error, 1)
	go func() {
		for range c.Count {
			if err := d.replies(); err != nil {
				made <- err
				return
			}
		}
		made <- nil
	}()
	for i := range c.Count {
		d.edit++
		if err := d.send(); err != nil {
			return answer{}, err
		}
		time.Sleep(time.Until(start.Add(time.Duration(i+1) * time.Second / time.Duration(c.Rate))))
	}
	if err := <-made; err != nil {
		return answer{}, err
	}
	if err := d.fleet.wait(r); err != nil {
		return answer{}, err
	}
	return d.result(r, start, bytes, messages), nil
}

func (d *driver) makeEdit() error {
	d.edit++
	return d.tell()
}

func (d *driver) tell() error {
	if err := d.send(); err != nil {
		return err
	}
	return d.replies()
}

func (d *driver) send() error {
	for _, each := range d.controls {
		if _, err := fmt.Fprintf(each, "edit %d\n", d.edit); err != nil {
			return err
		}
	}
	return nil
}

func (d *driver) replies() error {
	for _, each := range d.controls {
		line, err := each.replies.ReadString('\n')
		if err != nil {
			return err
		}
		if line != "done\n" {
			return fmt.Errorf("a server answered %q", line)
		}
	}
	return nil
}

func (d *driver) result(r *round, start time.Time, bytes, messages int64) answer {
	a := answer{
		Seconds:  time.Since(start).Seconds(),
		Bytes:    d.fleet.bytes.Load() - bytes,
		Messages: d.fleet.messages.Load() - messages,
		Reopened: d.fleet.reopened.Load(),
	}
	for _, delay := range r.delays {
		a.Delays = append(a.Delays, delay.Seconds())
	}
	slices.Sort(a.Delays)
	return a
}
