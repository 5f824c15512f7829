package manifest

import "encoding/json"

// sameTree compares two JSON values. Numbers are compared by value, whatever Go type carries them.
func sameTree(a, b any) bool {
	switch a := a.(type) {
	case map[string]any:
		b, ok := b.(map[string]any)
		if !ok || len(a) != len(b) {
			return false
		}
		for k, v := range a {
			if w, ok := b[k]; !ok || !sameTree(v, w) {
				return false
			}
		}
		return true
	case []any:
		b, ok := b.([]any)
		if !ok || len(a) != len(b) {
			return false
		}
		for i := range a {
			if !sameTree(a[i], b[i]) {
				return false
			}
		}
		return true
	}
	return sameScalar(a, b)
}

func sameScalar(a, b any) bool {
	switch b.(type) {
	case map[string]any, []any:
		return false
	}
	if x, y := wholeNumber(a), wholeNumber(b); x != nil && y != nil {
		return *x == *y
	}
	x, okX := realNumber(a)
	y, okY := realNumber(b)
	if okX || okY {
		return okX && okY && x == y
	}
	return a == b
}

func wholeNumber(v any) *int64 {
	var n int64
	switch v := v.(type) {
	case int64:
		n = v
	case int:
		n = int64(v)
	case int32:
		n = int64(v)
	case uint32:
		n = int64(v)
	default:
		return nil
	}
	return &n
}

func realNumber(v any) (float64, bool) {
	switch v := v.(type) {
	case float64:
		return v, true
	case json.Number:
		f, err := v.Float64()
		return f, err == nil
	}
	if n := wholeNumber(v); n != nil {
		return float64(*n), true
	}
	return 0, false
}

// weight is how much text a value stands for, and distance how much of it changes where b takes the place of a.
func weight(v any) int {
	n := 1
	switch v := v.(type) {
	case map[string]any:
		for _, e := range v {
			n += 1 + weight(e)
		}
	case []any:
		for _, e := range v {
			n += weight(e)
		}
	}
	return n
}

func distance(a, b any) int {
	if sameTree(a, b) {
		return 0
	}
	switch x := a.(type) {
	case map[string]any:
		if y, ok := b.(map[string]any); ok {
			return mapDistance(x, y)
		}
	case []any:
		if _, ok := b.([]any); ok {
			return 1 + (weight(a)+weight(b))/2
		}
	}
	return weight(a) + weight(b)
}

func mapDistance(a, b map[string]any) int {
	d := 0
	for k, v := range a {
		w, ok := b[k]
		switch name := k == "name" || k == "number" || k == "port"; {
		case !ok:
			d += 1 + weight(v)
		case name && !sameTree(v, w):
			d += distance(v, w) + 4 // another name is most likely another thing
		default:
			d += distance(v, w)
		}
	}
	for k, w := range b {
		if _, ok := a[k]; !ok {
			d += 1 + weight(w)
		}
	}
	return d
}

// step is one move of an alignment: item i of the old sequence becomes item j of the new one. Where old is -1 item j is
// new, where new is -1 item i is gone.
type step struct{ old, new int }

// maxAlign bounds the table that align fills; longer sequences are compared item by item.
const maxAlign = 1 << 16

// align finds the cheapest way from one sequence to another. Equal items at both ends are taken first, so that what is
// the same stays where it is.
func align(a, b []any) []step {
	var head, tail []step
	i, j := 0, 0
	for i < len(a) && j < len(b) && sameTree(a[i], b[j]) {
		head = append(head, step{i, j})
		i, j = i+1, j+1
	}
	n, m := len(a), len(b)
	for n > i && m > j && sameTree(a[n-1], b[m-1]) {
		n, m = n-1, m-1
		tail = append(tail, step{n, m})
	}
	if (n-i)*(m-j) > maxAlign {
		head = alignInOrder(head, i, n, j, m)
	} else {
		for _, s := range alignTable(a[i:n], b[j:m]) {
			if s.old >= 0 {
				s.old += i
			}
			if s.new >= 0 {
				s.new += j
			}
			head = append(head, s)
		}
	}
	for k := len(tail) - 1; k >= 0; k-- {
		head = append(head, tail[k])
	}
	return head
}

func alignInOrder(out []step, i, n, j, m int) []step {
	for ; i < n && j < m; i, j = i+1, j+1 {
		out = append(out, step{i, j})
	}
	for ; i < n; i++ {
		out = append(out, step{i, -1})
	}
	for ; j < m; j++ {
		out = append(out, step{-1, j})
	}
	return out
}

// alignTable fills the usual table from the end, so that the steps can be read off from the front.
func alignTable(a, b []any) []step {
	cost := make([][]int, len(a)+1)
	for i := range cost {
		cost[i] = make([]int, len(b)+1)
	}
	swap := make([][]int, len(a))
	for i := len(a); i >= 0; i-- {
		if i < len(a) {
			swap[i] = make([]int, len(b))
		}
		for j := len(b); j >= 0; j-- {
			switch {
			case i == len(a) && j == len(b):
			case i == len(a):
				cost[i][j] = cost[i][j+1] + weight(b[j])
			case j == len(b):
				cost[i][j] = cost[i+1][j] + weight(a[i])
			default:
				swap[i][j] = distance(a[i], b[j])
				cost[i][j] = min(swap[i][j]+cost[i+1][j+1], weight(a[i])+cost[i+1][j], weight(b[j])+cost[i][j+1])
			}
		}
	}
	var out []step
	for i, j := 0, 0; i < len(a) || j < len(b); {
		switch {
		case i < len(a) && j < len(b) && cost[i][j] == swap[i][j]+cost[i+1][j+1]:
			out = append(out, step{i, j})
			i, j = i+1, j+1
		case i < len(a) && cost[i][j] == weight(a[i])+cost[i+1][j]:
			out = append(out, step{i, -1})
			i++
		default:
			out = append(out, step{-1, j})
			j++
		}
	}
	return out
}
