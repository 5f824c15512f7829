package xdsclient

import (
	"fmt"
	"time"

	clusterv3 "github.com/envoyproxy/go-control-plane/envoy/config/cluster/v3"
	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/oarlock/oarlock/proxy"
)

const outlierObeyed = `consecutive_5xx consecutive_gateway_failure consecutive_local_origin_failure interval
	base_ejection_time max_ejection_time max_ejection_percent enforcing_consecutive_5xx
	enforcing_consecutive_gateway_failure enforcing_consecutive_local_origin_failure
	split_external_local_origin_errors enforcing_success_rate enforcing_failure_percentage`

const outlierHarmless = `success_rate_minimum_hosts success_rate_request_volume success_rate_stdev_factor
	enforcing_local_origin_success_rate failure_percentage_threshold enforcing_failure_percentage_local_origin
	failure_percentage_minimum_hosts failure_percentage_request_volume max_ejection_time_jitter
	successful_active_health_check_uneject_host always_eject_one_host detect_degraded_hosts`

// What Envoy takes where outlier detection or load balancing say nothing.
const (
	defaultConsecutive    = 5
	defaultPanicThreshold = 50
)

// breakers reads the limits of the default priority; the sidecar has no other.
func (t *translation) breakers(c *clusterv3.Cluster, out *proxy.Cluster) error {
	b := c.CircuitBreakers
	if b == nil {
		return nil
	}
	if err := t.fields(b, "thresholds", ""); err != nil {
		return err
	}
	for _, l := range b.Thresholds {
		if l.Priority != corev3.RoutingPriority_DEFAULT {
			t.ignore("CircuitBreakers.thresholds of priority " + l.Priority.String())
			continue
		}
		err := t.fields(l, "priority max_connections max_pending_requests max_requests max_retries",
			"track_remaining max_connection_pools retry_budget")
		if err != nil {
			return err
		}
		for _, v := range []struct {
			name string
			from *wrapperspb.UInt32Value
			to   *uint32
		}{
			{"max_connections", l.MaxConnections, &out.Limits.Connections},
			{"max_pending_requests", l.MaxPendingRequests, &out.Limits.Pending},
			{"max_requests", l.MaxRequests, &out.Limits.Requests},
			{"max_retries", l.MaxRetries, &out.Limits.Retries},
		} {
			if v.from != nil && v.from.Value == 0 {
				return fmt.Errorf("circuit_breakers: %s of 0 is not supported", v.name)
			}
			*v.to = v.from.GetValue()
		}
	}
	return nil
}

// outlier reads when endpoints are ejected. The statistical kinds are left out.
func (t *translation) outlier(c *clusterv3.Cluster, out *proxy.Cluster) error {
	panicThreshold := uint32(defaultPanicThreshold)
	if l := c.CommonLbConfig; l != nil {
		err := t.fields(l, "healthy_panic_threshold", `zone_aware_lb_config locality_weighted_lb_config update_merge_window
			ignore_new_hosts_until_first_hc close_connections_on_host_set_change consistent_hashing_lb_config override_host_status`)
		if err != nil {
			return err
		}
		if l.HealthyPanicThreshold != nil {
			panicThreshold = uint32(max(0, min(100, l.HealthyPanicThreshold.Value)))
		}
	}
	o := c.OutlierDetection
	if o == nil {
		return nil
	}
	if err := t.fields(o, outlierObeyed, outlierHarmless); err != nil {
		return err
	}
	if o.EnforcingSuccessRate == nil || o.EnforcingSuccessRate.Value > 0 {
		t.ignore("OutlierDetection.success_rate")
	}
	if o.GetEnforcingFailurePercentage().GetValue() > 0 {
		t.ignore("OutlierDetection.failure_percentage")
	}
	out.Outlier = &proxy.Outlier{
		Consecutive5xx:     t.consecutive(o.Consecutive_5Xx, o.EnforcingConsecutive_5Xx, 100),
		ConsecutiveGateway: t.consecutive(o.ConsecutiveGatewayFailure, o.EnforcingConsecutiveGatewayFailure, 0),
		SplitLocal:         o.SplitExternalLocalOriginErrors,
		Interval:           o.GetInterval().AsDuration(),
		BaseEjection:       o.GetBaseEjectionTime().AsDuration(),
		MaxEjection:        o.GetMaxEjectionTime().AsDuration(),
		MinHealthPercent:   panicThreshold,
	}
	if o.SplitExternalLocalOriginErrors {
		out.Outlier.ConsecutiveLocal = t.consecutive(o.ConsecutiveLocalOriginFailure, o.EnforcingConsecutiveLocalOriginFailure, 100)
	}
	if p := o.MaxEjectionPercent; p != nil {
		out.Outlier.MaxEjectionPercent = &p.Value
	}
	return nil
}

// consecutive gives a count of failures in a row, 0 if it is not enforced. Enforcing by chance is taken for always.
func (t *translation) consecutive(count, enforcing *wrapperspb.UInt32Value, normally uint32) uint32 {
	if enforcing != nil {
		normally = enforcing.Value
	}
	if normally == 0 {
		return 0
	}
	if normally < 100 {
		t.ignore("OutlierDetection.enforcing below 100")
	}
	if count == nil {
		return defaultConsecutive
	}
	return count.Value
}

func seconds(v *wrapperspb.UInt32Value) time.Duration {
	return time.Duration(v.GetValue()) * time.Second
}
