package difftest

import (
	"encoding/json"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
)

// kubeObjects gives what a Kubernetes API server would hold for a mesh: its Namespaces, Services and Pods, and the
// EndpointSlices that the endpoint slice controller makes of them. It is empty for a mesh in which Istio need not ask
// Kubernetes for anything, and which the cheaper fake can serve.
func kubeObjects(docs []Doc) ([]runtime.Object, error) {
	if !needsKubernetes(docs) {
		return nil, nil
	}
	var out []runtime.Object
	var pods []*corev1.Pod
	for _, d := range docs {
		var o runtime.Object
		switch d.Kind() {
		case "Namespace":
			o = &corev1.Namespace{}
		case "Service":
			o = &corev1.Service{}
		case "Pod":
			o = &corev1.Pod{}
		case "EndpointSlice":
			o = &discoveryv1.EndpointSlice{}
		default:
			continue
		}
		if err := decode(d, o); err != nil {
			return nil, err
		}
		if err := admit(o); err != nil {
			return nil, err
		}
		if p, ok := o.(*corev1.Pod); ok {
			pods = append(pods, p)
		}
		out = append(out, o)
	}
	for _, o := range out {
		if svc, ok := o.(*corev1.Service); ok && len(svc.Spec.Selector) > 0 {
			out = append(out, slicesOf(svc, pods)...)
		}
	}
	return out, nil
}

func needsKubernetes(docs []Doc) bool {
	for _, d := range docs {
		if d.Kind() == "Service" {
			return true
		}
		selector, ok := d.Spec()["workloadSelector"]
		if !ok || d.Kind() != "ServiceEntry" {
			continue
		}
		for _, p := range docs {
			if p.Kind() == "Pod" && p.Namespace() == d.Namespace() && within(labels(object(selector)["labels"]), p.Labels()) {
				return true
			}
		}
	}
	return false
}

func decode(d Doc, into runtime.Object) error {
	b, err := json.Marshal(d)
	if err != nil {
		return fmt.Errorf("encode %s %s: %w", d.Kind(), d.Name(), err)
	}
	if err := json.Unmarshal(b, into); err != nil {
		return fmt.Errorf("decode %s %s: %w", d.Kind(), d.Name(), err)
	}
	return nil
}

// admit fills in and refuses what an API server would, as far as it matters here or shrinking a mesh can lead there.
func admit(o runtime.Object) error {
	switch o := o.(type) {
	case *corev1.Pod:
		if o.Status.PodIP == "" || o.Status.Phase != corev1.PodRunning || len(o.Status.Conditions) == 0 || o.Spec.ServiceAccountName == "" {
			return fmt.Errorf("admit Pod %s: not running", o.Name)
		}
	case *corev1.Service:
		if o.CreationTimestamp.IsZero() {
			o.CreationTimestamp = metav1.NewTime(noTime())
		}
		for _, p := range o.Spec.Ports {
			if p.Port == 0 || p.Name == "" {
				return fmt.Errorf("admit Service %s: port without number or name", o.Name)
			}
		}
	case *discoveryv1.EndpointSlice:
		for _, e := range o.Endpoints {
			if len(e.Addresses) == 0 {
				return fmt.Errorf("admit EndpointSlice %s: endpoint without address", o.Name)
			}
		}
		for _, p := range o.Ports {
			if p.Port == nil || p.Name == nil {
				return fmt.Errorf("admit EndpointSlice %s: port without number or name", o.Name)
			}
		}
	}
	return nil
}

func within(selector, labels map[string]string) bool {
	for k, v := range selector {
		if labels[k] != v {
			return false
		}
	}
	return true
}

// slicesOf does what the endpoint slice controller does: one slice for each set of target ports, as pods may give one
// name to different ports.
func slicesOf(svc *corev1.Service, pods []*corev1.Pod) []runtime.Object {
	var out []runtime.Object
	for _, pod := range pods {
		if pod.Namespace != svc.Namespace || !within(svc.Spec.Selector, pod.Labels) {
			continue
		}
		ready := true
		s := &discoveryv1.EndpointSlice{
			ObjectMeta: metav1.ObjectMeta{
				Name: svc.Name + "-" + pod.Name, Namespace: svc.Namespace,
				Labels: map[string]string{discoveryv1.LabelServiceName: svc.Name},
			},
			AddressType: discoveryv1.AddressTypeIPv4,
			Endpoints: []discoveryv1.Endpoint{{
				Addresses:  []string{pod.Status.PodIP},
				Conditions: discoveryv1.EndpointConditions{Ready: &ready},
				TargetRef:  &corev1.ObjectReference{Kind: "Pod", Name: pod.Name, Namespace: pod.Namespace},
			}},
		}
		for i := range svc.Spec.Ports {
			p := &svc.Spec.Ports[i]
			if number, ok := targetPort(p, pod); ok {
				s.Ports = append(s.Ports, discoveryv1.EndpointPort{Name: &p.Name, Port: &number, Protocol: &p.Protocol})
			}
		}
		out = append(out, s)
	}
	return out
}

func targetPort(p *corev1.ServicePort, pod *corev1.Pod) (int32, bool) {
	switch {
	case p.TargetPort.StrVal != "":
		for _, c := range pod.Spec.Containers {
			for _, cp := range c.Ports {
				if cp.Name == p.TargetPort.StrVal {
					return cp.ContainerPort, true
				}
			}
		}
		return 0, false
	case p.TargetPort.IntVal != 0:
		return p.TargetPort.IntVal, true
	}
	return p.Port, true
}
