package difftest

import (
	"maps"
	"slices"
	"time"
)

// Shrink gives the smallest mesh that it finds on which fails still says true: it takes away objects, then fields and
// list entries, one after the other, for as long as the failure stays and there is time.
func Shrink(docs []Doc, limit time.Duration, fails func([]Doc) bool) []Doc {
	end := time.Now().Add(limit)
	still := fails
	fails = func(docs []Doc) bool { return time.Now().Before(end) && still(docs) }
	for changed := true; changed; {
		changed = false
		for i := len(docs) - 1; i >= 0; i-- {
			if less := slices.Delete(slices.Clone(docs), i, i+1); fails(less) {
				docs, changed = less, true
			}
		}
		for i := range docs {
			for _, path := range paths(map[string]any(docs[i]), nil) {
				less := slices.Clone(docs)
				less[i] = Doc(without(map[string]any(docs[i]), path).(map[string]any))
				if fails(less) {
					docs, changed = less, true
				}
			}
		}
	}
	return docs
}

// paths lists what can be taken out of an object, large parts first. A path that is gone already takes nothing away.
func paths(v any, at []any) [][]any {
	var out [][]any
	step := func(key, e any, removable bool) {
		p := append(slices.Clone(at), key)
		if removable {
			out = append(out, p)
		}
		out = append(out, paths(e, p)...)
	}
	switch v := v.(type) {
	case map[string]any:
		for _, k := range slices.Sorted(maps.Keys(v)) {
			step(k, v[k], !essential(k, at))
		}
	case []any:
		for i := len(v) - 1; i >= 0; i-- {
			step(i, v[i], true)
		}
	}
	return out
}

// essential says whether an object is not itself without a field.
func essential(key string, at []any) bool {
	if len(at) == 0 {
		return key == "apiVersion" || key == "kind" || key == "metadata"
	}
	return len(at) == 1 && at[0] == "metadata" && (key == "name" || key == "namespace")
}

// without copies v and leaves out what path leads to.
func without(v any, path []any) any {
	switch v := v.(type) {
	case map[string]any:
		key, ok := path[0].(string)
		if _, there := v[key]; !ok || !there {
			return v
		}
		out := maps.Clone(v)
		if len(path) == 1 {
			delete(out, key)
		} else {
			out[key] = without(v[key], path[1:])
		}
		return out
	case []any:
		i, ok := path[0].(int)
		if !ok || i >= len(v) {
			return v
		}
		out := slices.Clone(v)
		if len(path) == 1 {
			return slices.Delete(out, i, i+1)
		}
		out[i] = without(v[i], path[1:])
		return out
	}
	return v
}
