package svid

import "time"

// When to obtain the next SVID, and how soon after a failure. All are fractions of a life, because lives go from minutes
// to months.
const (
	renewAround    = 0.5  // of what was left when it was obtained
	renewJitter    = 0.05 // to either side
	emergencyPart  = 5    // the last fifth is an emergency
	retryPart      = 20   // pauses grow to a twentieth
	emergencyRetry = 50   // and in an emergency to a fiftieth

	firstPause     = time.Second
	longestPause   = 5 * time.Minute
	emergencyPause = 10 * time.Second
	shortestPause  = 100 * time.Millisecond
	startPause     = 5 * time.Second // the longest before there is an SVID at all

	// longestSleep bounds one sleep: timers stand still while a machine is suspended, certificates do not.
	longestSleep = time.Minute
)

// renewAfter is how long after it was obtained an SVID that has so long to live is renewed; r is random, from 0 to 1. It
// counts from then and not from NotBefore, which is back-dated: of a certificate for one minute half would be over at once.
func renewAfter(life time.Duration, r float64) time.Duration {
	part := renewAround + renewJitter*(2*r-1)
	return max(time.Duration(part*float64(life)), shortestPause)
}

// inEmergency says whether less than a fifth of the life is left.
func inEmergency(obtained, end, now time.Time) bool {
	return end.Sub(now) < end.Sub(obtained)/emergencyPart
}

// pause is how long to wait after so many failures in a row, at least one. life is how long the SVID was to live, zero
// where there is none.
func pause(failures int, life time.Duration, emergency bool, r float64) time.Duration {
	first, longest := firstPause, startPause
	if life > 0 {
		first = min(first, life/100)
		longest = min(longestPause, life/retryPart)
		if emergency {
			longest = min(emergencyPause, life/emergencyRetry)
		}
	}
	d := min(first<<min(failures-1, 20), longest)
	d = d/2 + time.Duration(r*float64(d)/2)
	return max(d, shortestPause)
}
